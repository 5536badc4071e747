package io.reflux.scorer;

import java.util.concurrent.CompletableFuture;

/**
 * An answer under way.
 *
 * @param tokenIds the answer's ids, the stop token included when one came; dependent stages may run
 *     on the thread that computes
 * @param cancel ends it soon; nobody reads its ids any more
 */
record PendingAnswer(CompletableFuture<int[]> tokenIds, Runnable cancel) {}
