"""The networks, in PyTorch: what is trained. `export` writes the same from their weights for ONNX Runtime."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from oddlog.types import F32

KERNEL = 5
"""Steps that a convolution sees."""


class NextEvent(nn.Module):
    """Embedding, LSTM and a choice among the types: how likely each is to come next.

    Du, Li, Zheng and Srikumar, "DeepLog", CCS 2017 (doi 10.1145/3133956.3134015); marks for begin and
    end, and log-likelihoods instead of a rank, are ours.
    """

    def __init__(
        self, inputs: int, outputs: int, embedding: int, width: int, layers: int, vectors: F32 | None = None
    ) -> None:
        super().__init__()
        self.embedding = _embedding(inputs, embedding, vectors)
        self.lstm = nn.LSTM(self.embedding.embedding_dim, width, layers, batch_first=True)
        self.choice = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the log-probability of each type after each token [b, t] -> [b, t, v]."""
        hidden, _ = self.lstm(self.embedding(tokens))
        return torch.log_softmax(self.choice(hidden), dim=-1)


class TextsAndCounts(nn.Module):
    """Two LSTMs, on the vectors of what came and on how often each type stands among the last `counted` events.

    Meng et al., "LogAnomaly", IJCAI 2019 (doi 10.24963/ijcai.2019/658).
    """

    def __init__(self, outputs: int, vectors: F32, width: int, layers: int, counted: int) -> None:
        super().__init__()
        self.counted = counted
        self.embedding = _embedding(0, 0, vectors)
        self.lstm = nn.LSTM(vectors.shape[1], width, layers, batch_first=True)
        self.counts = nn.LSTM(len(vectors), width, layers, batch_first=True)
        self.choice = nn.Linear(2 * width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the log-probability of each type after each token [b, t] -> [b, t, v]."""
        running = nn.functional.one_hot(tokens, len(self.embedding.weight)).to(torch.float32).cumsum(1)
        before = nn.functional.pad(running, (0, 0, self.counted, 0))[:, : -self.counted]
        texts, _ = self.lstm(self.embedding(tokens))
        counts, _ = self.counts(running - before)
        return torch.log_softmax(self.choice(torch.cat([texts, counts], dim=2)), dim=-1)


def _embedding(inputs: int, width: int, vectors: F32 | None) -> nn.Embedding:
    """Return an embedding to be learned, or one that stays at `vectors` [v, d]."""
    if vectors is None:
        return nn.Embedding(inputs, width)
    return cast("nn.Embedding", nn.Embedding.from_pretrained(torch.from_numpy(vectors)))  # type: ignore[no-untyped-call]  # torch's own


class SequenceAutoencoder(nn.Module):
    """LSTM that reads a sequence, a narrow summary, and an LSTM that restores the sequence from it.

    Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", 2016, section 2
    (arXiv 1607.00148). As there in training, the decoder is given the true event before each; here in scoring too:
    then one odd event does not spoil what follows it, and a whole batch is restored at once.
    """

    def __init__(self, features: int, width: int, summary: int, layers: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(features, width, layers, batch_first=True)
        self.summary = nn.Linear(width, summary)
        self.decoder = nn.LSTM(summary + features, width, layers, batch_first=True)
        self.restored = nn.Linear(width, features)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the restored sequences [b, t, f] of sequences [b, t, f] with `lengths` [b] real steps."""
        hidden, _ = self.encoder(x)
        end = hidden[torch.arange(len(x)), lengths - 1]  # causal: what is padding lies behind the end
        summary = torch.tanh(self.summary(end)).unsqueeze(1).expand(-1, x.shape[1], -1)
        before = nn.functional.pad(x[:, :-1], (0, 0, 1, 0))
        hidden, _ = self.decoder(torch.cat([summary, before], dim=2))
        return cast("Tensor", self.restored(hidden))


class RepeatingAutoencoder(nn.Module):
    """LSTM whose last state, repeated for each step, a second LSTM makes a sequence of; padding is not told apart."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(features, width, batch_first=True)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.restored = nn.Linear(width, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the restored sequences [b, t, f] of sequences [b, t, f]."""
        hidden, _ = self.encoder(x)
        hidden, _ = self.decoder(hidden[:, -1:].expand(-1, x.shape[1], -1))
        return cast("Tensor", self.restored(hidden))


class ConvolutionalAutoencoder(nn.Module):
    """Convolutions along time, halved twice, and back.

    Padding is set to zero behind every convolution, so that neither a batch's width nor its other sequences are
    seen. Steps must be a multiple of four.
    """

    def __init__(self, features: int, width: int, summary: int) -> None:
        super().__init__()
        self.into = nn.Conv1d(features, width, KERNEL, padding=KERNEL // 2)
        self.to_half = nn.Conv1d(width, width, KERNEL, stride=2, padding=KERNEL // 2)
        self.to_quarter = nn.Conv1d(width, summary, KERNEL, stride=2, padding=KERNEL // 2)
        self.back = nn.Conv1d(summary, width, KERNEL, padding=KERNEL // 2)
        self.whole = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2)
        self.restored = nn.Conv1d(width, features, KERNEL, padding=KERNEL // 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the restored sequences [b, t, f] of sequences [b, t, f] with `lengths` [b] real steps."""
        real = (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).to(x.dtype).unsqueeze(1)  # [b, 1, t]
        hidden = torch.relu(self.into(x.transpose(1, 2))) * real
        hidden = torch.relu(self.to_half(hidden)) * real[:, :, ::2]
        summary = torch.tanh(self.to_quarter(hidden)) * real[:, :, ::4]
        hidden = torch.relu(self.back(_twice(summary))) * real[:, :, ::2]
        hidden = torch.relu(self.whole(_twice(hidden))) * real
        return cast("Tensor", self.restored(hidden).transpose(1, 2))


def _twice(x: Tensor) -> Tensor:
    """Return each step twice [b, c, t] -> [b, c, 2t]."""
    return torch.stack([x, x], dim=3).flatten(2)


class DenseAutoencoder(nn.Module):
    """Dense layers to a narrow code and back; variational: the code is a normal distribution.

    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014, section 3 and appendix B (arXiv 1312.6114).
    """

    def __init__(self, features: int, width: int, code: int, *, variational: bool) -> None:
        super().__init__()
        self.into = nn.Linear(features, width)
        self.code = nn.Linear(width, code)
        self.spread = nn.Linear(width, code) if variational else None
        self.back = nn.Linear(code, width)
        self.restored = nn.Linear(width, features)

    def forward(self, x: Tensor, noise: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Return restored rows [b, f] of rows [b, f], and how far each code lies from a standard normal [b].

        Without `noise` the middle of the distribution is taken.
        """
        hidden = torch.relu(self.into(x))
        code = self.code(hidden)
        far = torch.zeros(len(x))
        if self.spread is not None:
            log_variance = torch.clamp(self.spread(hidden), -10.0, 10.0)
            far = 0.5 * (log_variance.exp() + code**2 - 1 - log_variance).sum(1)
            if noise is not None:
                code = code + torch.exp(0.5 * log_variance) * torch.randn(code.shape, generator=noise)
        return self.restored(torch.relu(self.back(code))), far
