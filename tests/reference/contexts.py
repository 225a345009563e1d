"""Contexts and attribute references (data model spec, sections 5 and 6) over plain JSON."""

from tests.reference.fields import Json, MalformedFlag, Object, text


def members(context: Object) -> dict[str, Object]:
    """Return every individual context by kind, each with its `kind` inside."""
    if context["kind"] != "multi":
        return {context["kind"]: context}
    return {kind: {**one, "kind": kind} for kind, one in context.items() if kind != "kind"}


def key_of(context: Object, kind: str) -> str | None:
    """Return the key of the individual context of `kind`, None if there is none."""
    member = members(context).get(kind)
    return None if member is None else member["key"]


def path_of(reference: str, *, literal: bool) -> list[str]:
    """Return the path that an attribute reference, or a literal name, stands for."""
    if reference == "":
        raise MalformedFlag
    if literal or not reference.startswith("/"):
        return [reference]
    path = []
    for component in reference.split("/")[1:]:
        if component == "":
            raise MalformedFlag
        path.append(unescape(component))
    return path


def unescape(component: str) -> str:
    """Undo `~1` and `~0`, character by character."""
    plain = ""
    rest = component
    while rest:
        if rest[0] != "~":
            plain, rest = plain + rest[0], rest[1:]
        elif rest[1:2] == "0":
            plain, rest = plain + "~", rest[2:]
        elif rest[1:2] == "1":
            plain, rest = plain + "/", rest[2:]
        else:
            raise MalformedFlag
    return plain


def path_named_by(owner: Object, field: str, kind_field: str) -> list[str]:
    """Return the path in `field`; without a context kind the text is a literal name."""
    return path_of(text(owner, field), literal=text(owner, kind_field) == "")


def look_up(member: Object, path: list[str]) -> Json:
    """Return the value at `path` in an individual context, None if there is none."""
    if path[0] == "_meta":
        return None
    if path == ["anonymous"]:
        return member.get("anonymous", False)
    found: Json = member
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found
