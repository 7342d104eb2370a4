from clipnerf.training.progress import Progress


def test_one_line_with_rate_and_numbers(capsys):
    with Progress(total=100, initial=40, desc="pretrain", unit="img") as progress:
        progress.update(30, loss=0.123456, step=7)
        progress.update(30)
    said = capsys.readouterr().err
    last = said.strip().split("\r")[-1]
    assert "pretrain" in last and "100/100" in last
    assert "img/s" in last and "loss=0.123" in last and "step=7" in last
    assert said.count("\n") == 1


def test_only_the_main_rank_speaks(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with Progress(total=10) as progress:
        progress.update(10)
    assert capsys.readouterr().err == ""
