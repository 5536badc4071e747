package io.reflux.trainer.nn;

/**
 * Everything that the next update depends on, besides the batch.
 *
 * @param parameters flat, in the model's own layout
 * @param firstMoments AdamW's, same layout
 * @param secondMoments AdamW's, same layout
 * @param updates taken so far
 */
public record ModelState(
    float[] parameters, float[] firstMoments, float[] secondMoments, long updates) {}
