"""What TensorBoard would read."""

import struct


def read_scalars(folder):
    """By tag and step, the scalars of all event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])  # then 4 bytes of a sum, the event, 4 more
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
            data = data[16 + length :]
    return found
