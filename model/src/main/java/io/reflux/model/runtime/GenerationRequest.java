package io.reflux.model.runtime;

import java.util.Set;

/**
 * A prompt to continue.
 *
 * @param promptIds at least one token
 * @param maxTokens longest continuation
 * @param stopIds a token of these ends the continuation, and is its last token
 * @param topLogprobs likeliest alternatives to report a token; 0 for none
 */
public record GenerationRequest(
    int[] promptIds,
    int maxTokens,
    SamplingOptions sampling,
    Set<Integer> stopIds,
    int topLogprobs) {}
