"""Supervised learning: a linear head on an encoder's features predicts a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from neurofm.augment.views import make_views
from neurofm.config.learning import ViewsConfig
from neurofm.data.batch import Batch
from neurofm.distributed import gather_with_gradient
from neurofm.models.head import HeadCard, predictions
from neurofm.objectives.losses import Losses


class Supervised(nn.Module):
    """One linear layer on the features, as in the paper, section 4.2.

    Binary tasks have one output and cross entropy with logits, several classes softmax cross
    entropy, numbers the mean squared error of the scaled target.

    Args:
        encoder: volumes to features.
        head: features to outputs.
        task: what the outputs mean.
        values: number or place of the class of each row of the store.
        class_weights: in the loss, by class; none for numbers.
        views: how the one view of a scan is drawn.
        seed: the recipe's seed; views depend on it, the epoch and the participant only.
        spacing_mm: voxel size of the volumes.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Linear,
        task: HeadCard,
        *,
        values: Mapping[int, float],
        class_weights: Sequence[float],
        views: ViewsConfig,
        seed: int,
        spacing_mm: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self._task, self._values, self._class_weights = task, values, tuple(class_weights)
        self._views, self._seed, self._spacing_mm = views, seed, spacing_mm
        self._frozen: tuple[str, ...] = ()

    def freeze(self, parts: Sequence[nn.Module | nn.Parameter]) -> None:
        """Keep these parts as they are: no gradients, and batch norm in evaluation mode.

        The released code leaves batch norm in training mode while it probes, so that a "frozen"
        encoder's statistics drift; here a frozen encoder is frozen.
        """
        # by name: batch norm is replaced where several processes share it
        modules = {part for part in parts if isinstance(part, nn.Module)}
        self._frozen = tuple(name for name, each in self.named_modules() if each in modules)
        for part in parts:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Supervised:
        """Training mode for all that is not frozen."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, batch: Batch) -> Losses:
        """The loss of one batch: the mean over the participants of all processes."""
        with torch.no_grad():
            drawn = make_views(batch, self._views, self._seed, 0, self._spacing_mm)
        outputs = self.head(self.encoder(drawn.images))
        known = torch.tensor([self._values[row] for row in batch.rows], device=outputs.device)
        each = gather_with_gradient(self.losses(outputs, known))
        loss = each.mean()
        return Losses(loss, {self.loss_name: loss.detach()}, {})

    @property
    def loss_name(self) -> str:
        """What the loss is, for the log."""
        return "squared_error" if self._task.kind == "regression" else "cross_entropy"

    def losses(
        self, outputs: Float[Tensor, "batch outputs"], values: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """The weighted loss of each scan, in float32 (float64 stays float64).

        Args:
            outputs: of the head.
            values: the number, or the place of the class.
        """
        with torch.autocast(outputs.device.type, enabled=False):
            exact = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
            values = values.to(exact.dtype)
            if self._task.kind == "regression":
                scaled = (values - self._task.mean) / self._task.spread
                return (exact[:, 0] - scaled).square()
            weights = torch.tensor(self._class_weights, dtype=exact.dtype, device=exact.device)
            classes = values.long()
            if self._task.kind == "binary":
                plain = functional.binary_cross_entropy_with_logits(
                    exact[:, 0], values, reduction="none"
                )
            else:
                plain = functional.cross_entropy(exact, classes, reduction="none")
            return plain * weights[classes]

    def predict(
        self, images: Float[Tensor, "batch 1 depth height width"]
    ) -> tuple[Float[Tensor, "batch outputs"], Float[Tensor, "batch values"]]:
        """Outputs of z-scored volumes, and what they say: a number, or probabilities of classes."""
        outputs = self.head(self.encoder(images)).float()
        return outputs, predictions(outputs, self._task)
