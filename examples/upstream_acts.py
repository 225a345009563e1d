"""The last acts of the story: the flags come from an upstream, over a stream, and it goes away."""

import json
import time
from typing import Any

from acts import FLAGS, WHO, Story
from children import Child, check
from server_places import not_by_proxy
from telling import milliseconds, tell_of, title

from flagkeep.testing import FakeUpstream

NEWER = 1000  # added to the versions of the file, so that nothing in the store seems older


class UpstreamChapter:
    """Goes on where the story has come to; its store and its reader are still there."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.upstream = FakeUpstream()
        self.flags: dict[str, Any] = {}
        self.times = 0  # that each flag was evaluated for each context by connected processes

    def tell(self) -> None:
        """Tell all of it."""
        self.connect()
        self.change_and_report()
        self.lose_the_upstream()
        self.get_it_back()

    def end(self) -> None:
        """Close the upstream."""
        self.upstream.stop()

    # --- the steps -----------------------------------------------------------------------------

    def connect(self) -> None:
        """Upstream -> a process that evaluates -> the store."""
        title("9. The flags come from an upstream")
        self.story.writer.leave()
        self.upstream.start()
        document = json.loads(self.story.file.read_text(encoding="utf-8"))
        self.flags, segments = as_sent(document)
        self.upstream.put(self.flags, segments)
        self.client, took = self.start_connected()
        self.check_values(self.client)
        tell_of(
            f"A service on this machine plays LaunchDarkly: {self.upstream.uri}. No account is"
            f" needed. Process {self.client.pid} opens a stream there and fills the same store. It"
            f" had its first value {took} after its start, and has every value that the reader has."
        )

    def change_and_report(self) -> None:
        """A change through both processes, and what comes back."""
        title("10. A flag changes upstream, and what was evaluated is reported")
        self.see_change("max-cart-items", 60)
        answer = self.check_values(self.client)
        reported = self.check_reports()
        full, bought = (self.upstream.events(kind) for kind in ("feature", "custom"))
        check(bought and bought[0]["key"] == "bought", "the purchase was not reported")
        tell_of(
            f"The connected process evaluated {reported:,} times, and the upstream was told of"
            f" every single one. One flag is tracked there: its {len(full):,} evaluations came in"
            " full, the others as numbers in a few summaries. Also reported: who the visitors are,"
            " once each, and a purchase. With all of this an evaluation took"
            f" {answer['microseconds']:.1f} microseconds."
        )

    def lose_the_upstream(self) -> None:
        """Nobody at the other end."""
        title("11. The upstream goes away")
        self.upstream.stop_listening()
        self.upstream.drop_streams()
        self.client.wait_for("source", state="interrupted")
        answer = self.check_values(self.client)
        age = self.client.ask("status")["age"]
        check(age is not None, "the connected process did not say how old its data is")
        said = [line for line in self.client.log if "what was received before is served" in line]
        check(len(said) == 1, f"the connected process complained {len(said)} times")
        tell_of("The stream broke off, and new connections are refused. It says so once:")
        self.story.quote(said[0])
        tell_of(
            f"It has the same values, {milliseconds(age)} old, and takes"
            f" {answer['microseconds']:.1f} microseconds for one. So has the reader."
        )
        self.other, took = self.start_connected()
        self.check_values(self.other)
        tell_of(
            f"Process {self.other.pid} starts meanwhile. It finds the flags in the store: the first"
            f" value came {took} after its start."
        )

    def get_it_back(self) -> None:
        """What happened meanwhile, in both directions."""
        title("12. The upstream comes back")
        self.change("max-cart-items", 70)
        self.upstream.start_listening()
        began = time.monotonic()
        for child in (self.client, self.other, self.story.reader):
            self.wait_for_value(child, "max-cart-items", 70)
        took = milliseconds(time.monotonic() - began)
        self.check_values(self.client)
        self.check_values(self.other)
        reported = self.check_reports(self.other)
        tell_of(
            f"A flag was changed while nobody could be told. {took} later all three processes have"
            " its new value. What was evaluated in between has waited: by now the upstream knows of"
            f" {reported:,} evaluations, and that is how many there were."
        )

    # --- what they share -----------------------------------------------------------------------

    def start_connected(self) -> tuple[Child, str]:
        """Start a connected process; returns it with the time it took to its first value."""
        given = self.story.place.surroundings(of_reader=False)
        given |= {"UPSTREAM": self.upstream.uri, **not_by_proxy()}
        return self.story.start_evaluating("connected.py", given)

    def change(self, flag: str, value: object) -> None:
        """Give the first variation of a flag another value."""
        item = self.flags[flag]
        item["variations"][0] = value
        item["version"] += 1
        self.upstream.patch("flags", item)

    def see_change(self, flag: str, value: object) -> None:
        """Change a flag upstream, and say how long it took to both processes."""
        began = time.monotonic()
        self.change(flag, value)
        by_stream = (self.wait_for_value(self.client, flag, value) - began) * 1000
        by_store = (self.wait_for_value(self.story.reader, flag, value) - began) * 1000
        tell_of(
            f"{flag} is {json.dumps(value)}: in the connected process after {by_stream:.0f} ms, in"
            f" the reader, through the store, after {by_store:.0f} ms."
        )
        self.story.known = self.story.reader.ask("values")["values"]

    def wait_for_value(self, child: Child, flag: str, value: object) -> float:
        """Wait until a process has told of a value; returns when that was."""
        at: float = child.wait_for("changed", flag=flag, context="amal", value=value)["at"]
        return at

    def check_values(self, child: Child) -> dict[str, Any]:
        """Have a connected process evaluate everything: it must say what the reader says."""
        answer = child.ask("values")
        self.times += answer["times"]
        known = self.story.reader.ask("values")["values"]
        check(answer["values"] == known, "the connected process had other values than the reader")
        return answer

    def check_reports(self, *others: Child) -> int:
        """Have everybody report; every evaluation must have been counted, and none twice."""
        for child in (self.client, *others):
            check(child.ask("report")["delivered"], "what was evaluated could not be reported")
        counted = dict.fromkeys(FLAGS, 0)
        for summary in self.upstream.events("summary"):
            for flag in FLAGS:
                counters = summary["features"].get(flag, {}).get("counters", ())
                counted[flag] += sum(one["count"] for one in counters if "version" in one)
        due = dict.fromkeys(FLAGS, self.times * len(WHO))
        due[FLAGS[0]] += 1 + len(others)  # everybody's first value
        check(counted == due, f"{counted} evaluations were reported, not {due}")
        seen = len(self.upstream.events("index"))
        check(seen == len(WHO) * (1 + len(others)), f"{seen} contexts were described")
        return sum(due.values())


def as_sent(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return flags and segments as a service sends them: each with its key and version."""
    flags = {
        key: {
            "version": 0, "on": True, "variations": [value], "fallthrough": {"variation": 0},
        }
        for key, value in document["flagValues"].items()
    }  # fmt: skip
    flags |= document["flags"]
    segments = document["segments"]
    for items in (flags, segments):
        for key, item in items.items():
            item["key"] = key
            item["version"] = item.get("version", 1) + NEWER
    return flags, segments
