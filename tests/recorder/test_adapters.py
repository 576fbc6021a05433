"""The recorder with trainers of others, by the real libraries."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.trainers import MetricLossOnly
from torch import nn

from rdh.errors import UserError
from rdh.recorder.metric_learning import TrainerHook
from rdh.store.run_store import RunStore
from tests.recorder.loops import BATCH, BITS, LABELS, N, recorder_in


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, BITS), nn.Tanh())


def items() -> torch.utils.data.TensorDataset:
    torch.manual_seed(1)
    return torch.utils.data.TensorDataset(torch.randn(N, 5), LABELS, torch.arange(N))


def test_a_trainer_of_pytorch_metric_learning_is_watched(tmp_path):
    network = make_network()
    recorder = recorder_in(tmp_path, labels=None)
    hook = TrainerHook(recorder, network)
    trainer = MetricLossOnly(
        models={"trunk": nn.Identity(), "embedder": network},
        optimizers={"embedder_optimizer": torch.optim.SGD(network.parameters(), lr=0.25)},
        batch_size=BATCH,
        loss_funcs={"metric_loss": ContrastiveLoss()},
        dataset=items(),
        dataloader_num_workers=0,
        data_device=torch.device("cpu"),
        data_and_label_getter=lambda batch: (batch[0], batch[1]),
        end_of_iteration_hook=hook,
    )
    trainer.train(num_epochs=2)
    recorder.close()
    reader = RunStore(tmp_path).reader(recorder.run_id)
    steps, losses = reader.scalar("loss")
    assert steps.tolist() == [3, 6] and np.isfinite(losses).all() and losses.min() > 0
    assert reader.scalar("lr")[1].tolist() == [0.25, 0.25]
    assert reader.scalar("window_entries")[1].tolist() == [N * BITS, N * BITS]
    assert RunStore(tmp_path).result(recorder.run_id).get("message") is None


def test_only_a_module_can_be_watched(tmp_path):
    recorder = recorder_in(tmp_path)
    with pytest.raises(UserError, match="must be a torch module, got list"):
        TrainerHook(recorder, [])
    recorder.close()


def test_a_callback_of_lightning_watches_a_layer(tmp_path):
    lightning = pytest.importorskip("lightning")
    from rdh.recorder.lightning import RecorderCallback

    class Hashing(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = make_network()

        def training_step(self, batch, batch_idx):
            images, labels, _ = batch
            return ContrastiveLoss()(self.network(images), labels)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.25)

    recorder = recorder_in(tmp_path)
    callback = RecorderCallback(recorder, "network", indices=lambda batch: batch[2])
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=tmp_path / "lightning",
        accumulate_grad_batches=3,
    )
    trainer.fit(Hashing(), torch.utils.data.DataLoader(items(), BATCH, shuffle=True))
    recorder.close()
    reader = RunStore(tmp_path).reader(recorder.run_id)
    assert reader.records()[-1][0] == 3  # three epochs, one step each
    assert reader.scalar("entries")[1].tolist() == [N * BITS]
    with pytest.raises(UserError, match="layer must be a submodule such as network"):
        lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[RecorderCallback(recorder_in(tmp_path), "nowhere")],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        ).fit(Hashing(), torch.utils.data.DataLoader(items(), BATCH))
