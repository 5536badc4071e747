package io.reflux.scorer.remote;

import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** How one kind of server is asked and how its answers read. */
interface ServerApi {
  /** What {@code owned_by} of its models says. */
  String owner();

  /** Whether it tells log-probs of ids of the asker's choice. */
  boolean givesSupport();

  /** What the server is, beyond its list of models. */
  CompletableFuture<ServerIdentity> identify(TeacherHttp http, ServedModel model);

  /** Labels of a sequence. */
  CompletableFuture<LabelBlock> score(TeacherHttp http, ServerIdentity server, ScoreAsk ask);

  /** Continues a prompt. */
  Call<int[]> answer(TeacherHttp http, ServerIdentity server, AnswerAsk ask);

  /**
   * A prompt to continue.
   *
   * @param stopIds a token of these ends the answer, and is its last
   */
  @SuppressWarnings("ArrayRecordComponent") // compared by nobody
  record AnswerAsk(int[] promptIds, int maxTokens, SamplingOptions sampling, Set<Integer> stopIds) {

    /**
     * The answer as the engine in this process would give it: up to its first stop token, that one
     * included.
     *
     * @param ids what the server gave
     * @param stoppedAt the stop token that the server says it stopped at, or -1
     */
    int[] ended(int[] ids, int stoppedAt, int vocabularySize) {
      if (ids.length > maxTokens) {
        throw ServerFault.wrong(
            "an answer of " + ids.length + " tokens (expected: at most " + maxTokens + ")");
      }
      for (int i = 0; i < ids.length; i++) {
        if (ids[i] >= vocabularySize) {
          throw ServerFault.wrong(
              "answer: id " + ids[i] + " (expected: below " + vocabularySize + ")");
        }
        if (stopIds.contains(ids[i])) {
          return Arrays.copyOf(ids, i + 1);
        }
      }
      // Some versions keep the stop token to themselves.
      if (stopIds.contains(stoppedAt)) {
        int[] withStop = Arrays.copyOf(ids, ids.length + 1);
        withStop[ids.length] = stoppedAt;
        return withStop;
      }
      return ids;
    }
  }
}
