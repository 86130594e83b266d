"""What a command says of the data that it reads."""

from jaxnas.commands.inputs import load_data
from jaxnas.runs.flags.data import DataFlags


def test_a_command_prints_once_what_it_has_read(capsys):
    dataset = load_data(DataFlags(dataset="digits", train_limit=100))
    assert capsys.readouterr().out == f"{dataset.described}\n"
    assert dataset.described == (
        "digits: 100 training and 360 test images of 8x8 pixels in 1 channel, 10 classes "
        "(0, 1, 2, ..., 9)."
    )
