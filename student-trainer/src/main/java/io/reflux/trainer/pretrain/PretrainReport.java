package io.reflux.trainer.pretrain;

import java.nio.file.Path;
import java.time.Duration;
import java.util.OptionalDouble;

/**
 * What came of it.
 *
 * @param directory Hugging Face directory of the model with the best validation loss, or the last
 *     one without a validation part
 * @param parameters weights of the model
 * @param vocabularySize ids of the tokenizer; below the asked for if the text is too small
 * @param steps done
 * @param bestStep whose weights were written
 * @param tokens trained, without padding
 * @param tokensPerSecond over the whole training, validations included
 * @param trainingExchanges learned from
 * @param validationExchanges held back
 * @param skippedExchanges longer than the context
 * @param validationLoss of the written weights, nats a response token
 * @param validationAccuracy of the written weights, share of response tokens
 */
public record PretrainReport(
    Path directory,
    long parameters,
    int vocabularySize,
    long steps,
    long bestStep,
    long tokens,
    double tokensPerSecond,
    int trainingExchanges,
    int validationExchanges,
    int skippedExchanges,
    OptionalDouble validationLoss,
    OptionalDouble validationAccuracy,
    Duration elapsed) {}
