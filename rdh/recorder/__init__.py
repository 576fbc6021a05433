"""Watches anybody's PyTorch training loop, and writes a run that the pages show as our own.

    from rdh.recorder import Recorder

    recorder = Recorder("my-hashnet", n_items=len(dataset), n_bits=64, labels=labels)
    for images, labels, indices in loader:
        codes = recorder.watch(torch.tanh(network(images)), indices)
        loss = criterion(codes, labels)
        loss.backward()
        recorder.step(loss)
        ...
    recorder.evaluate(query_codes, gallery_codes, query_labels, gallery_labels)
    recorder.close()

`rdh.recorder.metric_learning` and `rdh.recorder.lightning` are adapters to trainers of others.
"""

from rdh.recorder.complaints import RecorderWarning
from rdh.recorder.recorder import Recorder

__all__ = ["Recorder", "RecorderWarning"]
