package io.reflux.trainer.nn;

/** In what the matrices of the layers are multiplied. Masters, moments and losses are float32. */
public enum Precision {
  /** {@link #BF16} where the hardware multiplies it natively, else {@link #F32}. */
  AUTO,
  F32,
  /**
   * Matrices are cast once a batch and their products, attention included, are bfloat16 with
   * float32 accumulation; so are the products of the head's gradient. The residual stream, norms,
   * softmax, logits, losses and all gradients that are kept stay float32.
   */
  BF16
}
