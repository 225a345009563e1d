"""The acts of the story: what is done, what must come of it, and what is said about it."""

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from children import HERE, Child, check, wait_until
from edits import (
    Document,
    edit_cart,
    edit_closed,
    edit_light,
    edit_open,
    edit_price,
    edit_theme,
    save,
)
from places import Place
from telling import milliseconds, quote, say, table, title

SHOP = HERE / "shop"
WHO = ("amal", "bruno", "visitor", "nordlicht")
FLAGS = ("checkout-v2", "theme", "free-shipping-from", "max-cart-items", "image-format")


class Story:
    """The steps, in order; each leaves behind what the next one needs."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.file = folder / "flags.json"
        self.contexts = folder / "contexts.json"
        self.place = place
        self.children: list[Child] = []
        self.known: dict[str, Any] = {}
        shutil.copyfile(SHOP / "flags.json", self.file)
        people = json.loads((SHOP / "contexts.json").read_text(encoding="utf-8"))
        self.contexts.write_text(json.dumps({name: people[name] for name in WHO}), encoding="utf-8")

    def tell(self) -> None:
        """Tell all of it."""
        self.fill()
        self.read()
        self.edit()
        self.spoil()
        self.kill_the_writer()
        self.restart_the_reader()
        self.take_the_store_away()
        self.bring_the_writer_back()

    # --- the steps -----------------------------------------------------------------------------

    def fill(self) -> None:
        """File -> store."""
        title("1. A file fills a store")
        say(f"   The flags of a shop are in {self.file}.")
        self.start_writer()
        store = self.place.open()
        wait_until(lambda: self.place.is_filled(store), "a filled store")
        took = milliseconds(time.monotonic() - self.writer.started)
        contents = store.get_all()
        store.close()
        flags, segments = len(contents.flags), len(contents.segments)
        check(flags >= 30 and not contents.bad, f"{flags} flags arrived, some of them damaged")
        say(f"   Process {self.writer.pid}, the writer, follows that file. {took} after its start")
        say(f"   {flags} flags and {segments} segments are in {self.place.where}.")

    def read(self) -> None:
        """Store -> another process."""
        title("2. Another process evaluates out of the store")
        self.reader, took = self.start_reader()
        who = f"Process {self.reader.pid}, the reader,"
        say(f"   {who} knows {self.place.kind} only ('daemon mode').")
        say(f"   It had its first value {took} after its start. Each flag for four visitors:")
        say()
        answer = self.reader.ask("values")
        self.known = answer["values"]
        errors = [cell for row in self.known.values() for cell in row.values() if is_error(cell)]
        check(not errors, f"some evaluations failed: {errors}")
        table(WHO, {flag: [self.known[flag][name] for name in WHO] for flag in FLAGS})
        say()
        say(f"   One evaluation took {answer['microseconds']:.1f} microseconds.")
        is_told = self.reader.ask("status")["push"] == "push"
        check(is_told or not self.place.must_push, "changes are not pushed: is FLAGKEEP_PUSH set?")

    def edit(self) -> None:
        """Edits of the file, seen by the reader."""
        title("3. The file is edited, and the reader sees it")
        how = (
            "is told by the operating system"
            if has_notices()
            else "looks at the file 20 times a second"
        )
        first, *more = self.place.news
        say(f"   The writer {how}; {first}")
        for line in more:
            say(f"   {line}")
        times = [
            self.see("free shipping from 39.00", edit_price, "free-shipping-from", "visitor", 39.0),
            self.see("dark colours for all", edit_theme, "theme", "amal", "dark"),
            self.see("the shop closes", edit_closed, "checkout-v2", "amal", value=False),
            self.see("the shop opens again", edit_open, "checkout-v2", "amal", value=True),
            self.see("50 items in a cart", edit_cart, "max-cart-items", "amal", 50),
        ]
        say(
            f"   From saving the file to the new value in the reader, slowest: {max(times):.0f} ms."
        )
        say("   (The closed shop is another flag, which checkout-v2 has as its prerequisite.)")
        self.known = self.reader.ask("values")["values"]

    def spoil(self) -> None:
        """A broken file, and a broken flag."""
        title("4. The file is broken, and nothing happens")
        good = self.file.read_text(encoding="utf-8")
        save(self.file, good[: len(good) // 2])
        line = self.writer.wait_for_log(f"{self.file}:", "not JSON")
        say("   Half of the file is gone. The writer says where it ends:")
        self.quote(line)
        self.check_values("while the file was half")
        say("   The reader still has every value. Now the file is whole again, but one flag has a")
        say("   variation that is no number, and another flag goes back to light colours:")
        document = json.loads(good)
        document["flags"]["checkout-v2"]["rules"][0]["variation"] = "two"
        document["flags"]["theme"]["fallthrough"] = {"variation": 0}
        save(self.file, json.dumps(document, indent=1))
        line = self.writer.wait_for_log("checkout-v2", "$.rules[0].variation", "flags.json:")
        self.quote(line)
        self.reader.wait_for("changed", flag="theme", context="amal", value="light")
        after = self.reader.ask("values")["values"]
        check(after["checkout-v2"] == self.known["checkout-v2"], "a broken flag lost its value")
        say("   The good flag changed; the bad one keeps its last good version. Repaired.")
        save(self.file, good)
        self.reader.wait_for("changed", flag="theme", context="amal", value="dark")
        self.check_values("after the repair")

    def kill_the_writer(self) -> None:
        """Nobody writes any more."""
        title("5. The writer is killed")
        self.writer.kill()
        answer = self.check_values("without a writer")
        how = "terminated" if os.name == "nt" else "kill -9"
        say(f"   Process {self.writer.pid} is gone in the middle of things ({how}).")
        speed = f"{answer['microseconds']:.1f} microseconds"
        say(f"   The reader goes on: the same values, {speed} each.")

    def restart_the_reader(self) -> None:
        """A new process out of what was stored."""
        title("6. The reader restarts, with nobody else there")
        self.reader.leave()
        self.reader, took = self.start_reader()
        self.check_values("after a restart")
        say(f"   Process {self.reader.pid} had its first value {took} after its start.")

    def take_the_store_away(self) -> None:
        """No store at all for a while."""
        title(f"7. {self.place.kind[0].upper()}{self.place.kind[1:]} is taken away")
        if self.place.why_not:
            say(f"   Not this time: {self.place.why_not}.")
            return
        already = len(self.reader.log)
        self.place.take_away()
        self.reader.wait_for("store", available=False)
        self.check_values(f"without {self.place.kind}")
        age = self.reader.ask("status")["age"]
        check(age is not None, "the reader did not say how old its data is")
        self.place.put_back()
        self.reader.wait_for("store", available=True)
        log = self.reader.log[already:]
        said = [line for line in log if "is served until it works again" in line]
        check(len(said) == 1, f"the reader complained {len(said)} times")
        for line in self.place.taken:
            say(f"   {line}")
        self.quote(said[0])
        say(f"   It served the same values, knew that they were {milliseconds(age)} old, and found")
        say(f"   {self.place.kind} again when it was put back.")

    def bring_the_writer_back(self) -> None:
        """Everything as it was."""
        title("8. The writer comes back")
        self.start_writer()
        say(f"   Process {self.writer.pid} finds its own data in the store and goes on from there.")
        self.see("light colours again", edit_light, "theme", "amal", "light")

    # --- what they share -----------------------------------------------------------------------

    def start(self, script: str, *args: str | Path, given: dict[str, str]) -> Child:
        """Start a process that ends with the story at the latest."""
        child = Child(script, *args, given=given)
        self.children.append(child)
        return child

    def start_writer(self) -> None:
        """Start a writer, and wait until it has read the file."""
        given = self.place.surroundings(of_reader=False)
        self.writer = self.start("writer.py", self.file, given=given)
        self.writer.wait_for("ready")

    def start_reader(self) -> tuple[Child, str]:
        """Start a reader; returns it with the time it took to its first value."""
        return self.start_evaluating("reader.py", self.place.surroundings(of_reader=True))

    def start_evaluating(self, script: str, given: dict[str, str]) -> tuple[Child, str]:
        """Start a process that evaluates; returns it with the time it took to its first value."""
        child = self.start(script, self.contexts, *FLAGS, given=given)
        first = child.wait_for("first")
        check(first["value"] is True, f"the first value is {first['value']}")
        child.wait_for("ready")
        return child, milliseconds(first["at"] - child.started)

    def see(
        self,
        what: str,
        change: Callable[[Document], None],
        flag: str,
        name: str,
        value: object,
    ) -> float:
        """Edit the file, wait until the reader has the new value, and return the time it took."""
        document = json.loads(self.file.read_text(encoding="utf-8"))
        change(document)
        text = json.dumps(document, indent=1)
        began = time.monotonic()
        save(self.file, text)
        seen = self.reader.wait_for("changed", flag=flag, context=name, value=value)
        took: float = (seen["at"] - began) * 1000
        new = f"{flag} is {json.dumps(value)} for {name}"
        say(f"   {what:26}{new:44}{took:5.0f} ms")
        return took

    def check_values(self, when: str) -> dict[str, Any]:
        """Have the reader evaluate everything once more: it must say what it said before."""
        answer = self.reader.ask("values")
        check(answer["values"] == self.known, f"{when} the reader had other values")
        return answer

    def quote(self, line: str) -> None:
        """Print what a process logged, without the temporary folder's long name."""
        quote(line.replace(f"{self.file.parent}{os.sep}", ""))

    def end(self) -> None:
        """Let every process end, and kill those that do not."""
        for child in self.children:
            child.leave()


def has_notices() -> bool:
    """Whether the writer can be told of changes; if not, it looks."""
    try:
        importlib.import_module("watchfiles")
    except ImportError:
        return False
    return True


def is_error(cell: dict[str, Any]) -> bool:
    """Whether an evaluation failed."""
    return bool(cell["reason"]["kind"] == "ERROR")
