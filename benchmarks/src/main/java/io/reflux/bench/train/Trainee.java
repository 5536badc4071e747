package io.reflux.bench.train;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Offload;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.nio.file.Path;
import java.util.List;

/** A model that takes whole training steps, in one way or another. */
interface Trainee extends AutoCloseable {
  /** Learning rate of all that is measured; what is learned does not matter. */
  double LEARNING_RATE = 1e-3;

  /** Forward, back and update. */
  void step(List<TrainingSequence> batch);

  @Override
  void close();

  /** How it trains. */
  enum Way {
    /** An ordinary trainer. */
    NAIVE,
    /** The product as it is by default. */
    FUSED,
    /** The product, with every layer run again on the way back. */
    CHECKPOINTED,
    /** And with the optimizer's state on disk. */
    OFFLOADED
  }

  /** Makes one. */
  static Trainee of(Way way, ModelConfig config, Weights weights, int threads, Path scratch) {
    if (way == Way.NAIVE) {
      NaiveStudent student = new NaiveStudent(config, weights, AdamW.DEFAULT, threads);
      return new Trainee() {
        @Override
        public void step(List<TrainingSequence> batch) {
          student.step(batch, LEARNING_RATE);
        }

        @Override
        public void close() {
          student.close();
        }
      };
    }
    ModelOptions options = ModelOptions.DEFAULT.withThreads(threads);
    if (way != Way.FUSED) {
      options = options.withCheckpointEvery(1);
    }
    if (way == Way.OFFLOADED) {
      options = options.withOffload(Offload.disk(scratch));
    }
    TrainableModel model = new TrainableModel(config, weights, AdamW.DEFAULT, options);
    return new Trainee() {
      @Override
      public void step(List<TrainingSequence> batch) {
        model.accumulate(new Batch(batch, config.vocabularySize()));
        model.update(LEARNING_RATE);
      }

      @Override
      public void close() {
        model.close();
      }
    };
  }
}
