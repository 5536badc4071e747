package io.reflux.trainer.pretrain;

import java.time.Duration;
import java.util.OptionalDouble;

/**
 * How far it is.
 *
 * @param step steps done
 * @param totalSteps steps in all epochs
 * @param epoch from 1
 * @param loss mean objective since the last report, nats a token
 * @param learningRate of the last step
 * @param tokensPerSecond real tokens, without padding, since the last report
 * @param elapsed since training began
 * @param remaining estimate: by steps, or by the budget if that ends first
 * @param validationLoss nats a response token of the last validation; empty before the first
 * @param validationAccuracy share of response tokens predicted, of the last validation
 */
public record PretrainProgress(
    long step,
    long totalSteps,
    int epoch,
    double loss,
    double learningRate,
    double tokensPerSecond,
    Duration elapsed,
    Duration remaining,
    OptionalDouble validationLoss,
    OptionalDouble validationAccuracy) {}
