package io.reflux.scorer;

import io.reflux.model.runtime.Scores;
import io.reflux.model.runtime.SupportTail;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;

/** Makes of a model's scores what was asked for. */
final class LabelBlocks {
  private LabelBlocks() {}

  static LabelBlock of(LabelTask task, Scores scores) {
    return switch (task.encoding()) {
      case TOPK ->
          new TopKBlock(
              scores.rows(),
              scores.k(),
              scores.topIds(),
              scores.topLogprobs(),
              scores.tailLogMass(),
              scores.tokenLogprobs(),
              scores.entropy());
      case SAMPLED ->
          SampledBlock.of(
              scores.rows(),
              scores.draws(),
              scores.drawnIds(),
              scores.tokenLogprobs(),
              scores.entropy());
      case SUPPORT ->
          new SupportBlock(
              scores.rows(),
              task.supportSize(),
              SupportBlock.checksum(task.supportIds()),
              scores.supportLogprobs(),
              SupportTail.of(scores, task.supportIds(), task.supportSize()),
              scores.tokenLogprobs(),
              scores.entropy());
    };
  }
}
