"""Networks: layers, what trains them, and data in batches. Source: steps 44 to 60 of the book.

layer         Parameter, Layer: parameters found by attribute, saved and loaded
layers        Linear, Conv2d, pooling, normalisation, Dropout, Embedding, RNN, LSTM, MLP
functional    what layers compute, as functions
initialisers  what weights begin with
optimizers    SGD, Momentum, AdaGrad, Adam; WeightDecay and ClipGrad as hooks
data          DataLoader, SeqDataLoader
"""

from autodiff.nn import functional, initialisers
from autodiff.nn.data import DataLoader, SeqDataLoader
from autodiff.nn.functional import avg_pool2d, conv2d, dropout, embedding, max_pool2d
from autodiff.nn.layer import Layer, Parameter
from autodiff.nn.layers import (
    LSTM,
    MLP,
    RNN,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    MaxPool2d,
    Sequential,
)
from autodiff.nn.optimizers import SGD, AdaGrad, Adam, ClipGrad, Momentum, Optimizer, WeightDecay

__all__ = [
    "LSTM",
    "MLP",
    "RNN",
    "SGD",
    "AdaGrad",
    "Adam",
    "AvgPool2d",
    "BatchNorm",
    "ClipGrad",
    "Conv2d",
    "DataLoader",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Momentum",
    "Optimizer",
    "Parameter",
    "SeqDataLoader",
    "Sequential",
    "WeightDecay",
    "avg_pool2d",
    "conv2d",
    "dropout",
    "embedding",
    "functional",
    "initialisers",
    "max_pool2d",
]
