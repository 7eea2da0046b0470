"""The command line, run in this process."""

import pytest

from launch import cli


@pytest.fixture
def tsjax(monkeypatch, capsys):
    """Runs the command line in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("TSJAX_ALLOCATOR", "off")

    def run(*argv) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


def one_line(code: int, err: str, *words: str) -> None:
    assert code == 65
    assert err.startswith("tsjax") and err.count("\n") == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, err
