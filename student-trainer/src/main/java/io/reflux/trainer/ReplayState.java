package io.reflux.trainer;

import java.util.List;

/**
 * What a replay buffer holds, in an order that restores it.
 *
 * @param fresh not trained on yet, oldest first
 * @param recent trained on, a ring
 * @param sample of everything older
 * @param oldestRecent index in recent of the next to leave
 * @param offered sequences that the sample was drawn from
 */
public record ReplayState(
    List<LabelledSequence> fresh,
    List<LabelledSequence> recent,
    List<LabelledSequence> sample,
    int oldestRecent,
    long offered) {}
