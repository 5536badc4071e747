package io.reflux.scorer;

/**
 * A prompt that the teacher is to answer.
 *
 * @param promptIds at least one token
 * @param maxTokens longest answer
 * @param truncated whether the prompt was cut at the limit
 */
record Question(int[] promptIds, int maxTokens, boolean truncated) {}
