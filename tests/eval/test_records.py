"""A file whose last line was not written to its end: no whole record is lost, no piece of one is read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from eval.records import Completion, mend, read_lines, write_lines


def completion(k: int, text: str) -> Completion:
    return Completion("m", "", "p", "story", k, "A hen", text, "eos", 1)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.data())
def test_a_file_cut_anywhere_keeps_its_whole_records(tmp_path_factory, texts, data):
    path = tmp_path_factory.mktemp("cut") / "completions.jsonl"
    records = [completion(k, text) for k, text in enumerate(texts)]
    write_lines(path, records)
    whole = path.read_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_bytes(cut)
    mend(path)
    lines = cut.split(b"\n")
    last_is_whole = lines[-1] in [json.dumps(json.loads(line)).encode() for line in whole.splitlines()]
    assert list(read_lines(path, Completion)) == records[: len(lines) - 1 + last_is_whole]
    assert path.read_bytes() == whole[: len(path.read_bytes())] and path.read_bytes()[-1:] in (b"\n", b"")
    mend(path)
    assert whole.startswith(path.read_bytes())


def test_what_is_not_there_stays_so(tmp_path):
    mend(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
