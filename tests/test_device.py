import torch

from tricks_lib.device import default_device


def test_it_is_the_accelerator_if_there_is_one_and_else_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert default_device() == torch.device("cpu")
    found = {True: torch.device("mps"), False: torch.device("cuda")}  # one that works, one that torch was built for
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found[check_available])
    assert default_device() == torch.device("mps")
