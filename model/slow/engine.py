"""The training engine: TensorFlow on Keras 2, loaded without its start-up chatter.

TensorFlow Recommenders runs on Keras 2 alone, which must be chosen before TensorFlow is
imported; so every module that trains takes both from here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Holds back what native code writes to standard error; exceptions pass as ever."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _without_chatter():
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

    # looking for accelerators is what complains where there are none
    tf.constant(0)

# every night makes its step function anew, which is no mistake to warn of
tf.get_logger().setLevel("ERROR")

__all__ = ["tf", "tfrs"]
