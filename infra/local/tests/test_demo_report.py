"""What the demo shows: its lines, its picture, its listings, its report."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET

from demo import listings, picture, report
from demo.events import Event, Source, Tone, spans
from demo.record import Claim
from demo.timeline import Style, wants_colour
from demo_support import GOES, STAYS, phase, record


class Terminal:
    def __init__(self, is_one: bool):
        self._is_one = is_one

    def isatty(self) -> bool:
        return self._is_one


def test_colour_is_for_terminals_whose_user_did_not_say_no():
    assert wants_colour(Terminal(True), {"TERM": "xterm"})
    assert not wants_colour(Terminal(True), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colour(Terminal(True), {"TERM": "dumb"})
    assert not wants_colour(Terminal(False), {"TERM": "xterm"})


def test_a_line_has_seconds_node_source_and_words():
    line = Style(colour=False).event(Event(0, Source.KUBERNETES, "k", "cordoned", GOES), 12.34, "ip-127-7-16-1")
    assert re.fullmatch(r" +12\.3 s  ip-127-7-16-1 +Kubernetes +cordoned", line)


def test_colour_changes_nothing_but_codes():
    event = Event(0, Source.BUS, "k", "it went wrong", GOES, Tone.BAD)
    plain, painted = (Style(colour).event(event, 1, "n") for colour in (False, True))
    assert painted != plain and re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_a_line_that_is_longer_than_the_terminal_is_folded_below_its_words():
    event = Event(0, Source.BUS, "k", "word " * 40, GOES)
    lines = Style(False, 100).event(event, 1, "n").splitlines()
    assert len(lines) > 2 and all(len(line) <= 100 for line in lines)
    assert {len(line) - len(line.lstrip()) for line in lines[1:]} == {lines[0].index("word")}


def test_nodes_are_called_by_the_first_label_of_their_names():
    event = Event(0, Source.BUS, "k", "node ip-127-7-16-1.us-west-2.compute.internal is open, ip-10-0-0-1.ec2.internal too")
    assert Style(False).event(event, 1, "n").endswith("node ip-127-7-16-1 is open, ip-10-0-0-1 too")


def test_the_verdicts_repeat_each_claim_and_say_more_only_of_what_was_not_seen():
    told = Style(False).verdicts([Claim("a", True, "fine", "act one"), Claim("b", False, "gone wrong", "act two")])
    assert "fine" not in told and "gone wrong" in told and told.index("act one") < told.index("act two")


def test_a_phase_lasts_until_the_next_of_its_lane():
    found = spans([phase(5, Source.EC2, "b"), phase(1, Source.EC2, "a"), phase(3, Source.ALLUXIO, "c"), phase(9, Source.EC2, "")])
    assert [(span.phase, span.begin, span.end) for span in found] == [("a", 1, 5), ("c", 3, None), ("b", 5, 9)]


def test_a_phase_that_is_told_again_goes_on():
    found = spans([phase(1, Source.EC2, "a"), phase(3, Source.EC2, "a"), phase(4, Source.EC2, "")])
    assert [(span.begin, span.end) for span in found] == [(1, 4)]


def drawn(*events: Event) -> ET.Element:
    run = record()
    return ET.fromstring(picture.picture(run.acts[0], [*run.events, *events], run.names))


def bars(svg: ET.Element) -> dict[str, ET.Element]:
    return {bar.findtext("title", "").split(":")[0]: bar for bar in svg.iter("g")}


def test_the_picture_has_a_bar_for_each_phase_of_the_act_with_its_duration_to_read():
    found = bars(drawn())
    assert set(found) == {"Pending", "LabelNode", "InService"}
    assert "2.0 s to 4.0 s (2.0 s)" in found["LabelNode"].findtext("title", "")
    assert found["Pending"].findtext("text") == "Pending:Wait 17.0 s"


def test_bars_are_to_scale_and_stay_within_the_picture():
    found = bars(drawn())
    widths = {name: float(bar.find("rect").attrib["width"]) for name, bar in found.items()}
    assert abs(widths["Pending"] / widths["LabelNode"] - 17 / 2) < 0.01
    edges = [float(bar.find("rect").attrib["x"]) + float(bar.find("rect").attrib["width"]) for bar in found.values()]
    assert max(edges) <= picture.WIDTH


def test_a_node_that_was_only_there_shows_its_worker_and_nothing_else():
    svg = drawn(phase(50, Source.ALLUXIO, "in service", STAYS), phase(50, Source.KUBERNETES, "open", STAYS))
    assert "in service" in bars(svg) and "open" not in bars(svg)


def test_executions_of_one_machine_are_drawn_in_the_order_of_their_beginnings():
    svg = drawn(phase(110, Source.DRAIN, "first", part="f00"), phase(112, Source.DRAIN, "second", part="a00"),
                phase(112, Source.DRAIN, "beside", part="f00/2"))  # fmt: skip
    heights = {name: float(bar.find("rect").attrib["y"]) for name, bar in bars(svg).items()}
    assert heights["first"] < heights["beside"] < heights["second"]


def test_the_axis_has_few_and_round_ticks():
    assert [picture.step(seconds) for seconds in (8, 30, 50, 200)] == [1, 5, 5, 30]


def test_the_report_needs_nothing_else():
    page = report.render(record())
    assert not re.search(r"""(src|href)=["'](?!data:,)""", page)
    assert "@import" not in page and "url(" not in page and "<script" not in page


def test_what_programs_printed_is_text_in_the_report():
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report.render(record())


def test_the_report_says_what_was_claimed_seen_and_written():
    page = report.render(record())
    for text in ("All 2 claims were seen", "Two nodes join", "Nothing was lost", "1 of 1 &amp; so on", "/demo/a.parquet",
                 "ababababab", "tidegate-label-node", "20.0 of 128 MB", "$ kubectl get nodes", "No resources found"):  # fmt: skip
        assert text in page, text


def test_a_claim_that_was_not_seen_is_red_and_counted():
    page = report.render(record(seen=False))
    assert "1 of 2 claims were not seen" in page
    assert '<li class="bad">' in page


def test_the_tiles_count_what_drains_saved():
    shown = {tile.label: tile.value for tile in report.tiles(record())}
    assert shown["persisted by drains"] == "5" and shown["files intact"] == "1/1" and shown["two nodes join"] == "20"


def test_a_file_that_reads_back_differently_is_not_intact():
    run = record()
    run.files[0].read_back["in the end"] = "cd" * 32
    assert "0/1" in {tile.value for tile in report.tiles(run)}
    assert "NOT the same" in report.render(run)


def test_nothing_claimed_is_nothing_seen():
    assert not dataclasses.replace(record(), claims=[]).all_seen
    assert record().all_seen and not record(seen=False).all_seen


def test_the_summary_says_how_many_claims_were_not_seen():
    assert Style(False).summary(record(seen=False)) == "1 of 2 claims were seen, 1 were NOT"
    assert "NOT SEEN" in Style(False).claim(Claim("x", False, "y"))


def test_calls_are_summed_up_by_function():
    def call(millis: float, peak: int | None, cold: bool = False, outcome: str = "success") -> str:
        return json.dumps({"function": "f", "cold": cold, "initMillis": 20.0 if cold else None, "durationMillis": millis,
                           "peakMemoryKb": peak, "memorySizeMb": 128, "outcome": outcome})  # fmt: skip

    [use] = listings.function_uses([call(10, 9000, cold=True), call(30, 12000), "", call(20, None, outcome="error")])
    assert (use.calls, use.cold_starts, use.failed, use.median_millis, use.longest_millis) == (3, 1, 1, 20, 30)
    assert (use.peak_kb, use.init_millis) == (12000, 20.0)


def test_a_table_has_columns_as_wide_as_their_widest_cell():
    assert listings.table(("A", "B"), [("long", "x")]) == "A      B\nlong   x"
