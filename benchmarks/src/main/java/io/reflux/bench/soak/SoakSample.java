package io.reflux.bench.soak;

/**
 * How things stood at one moment.
 *
 * @param seconds since the start of traffic
 * @param trainerMiB resident memory of the trainer's process
 * @param loopMiB of the process of everything else, broker included
 * @param lag label records that wait for the trainer; NaN while it has said nothing
 * @param loss mean over the latest steps, nats; NaN before the first
 * @param agreement held-out; NaN before the first measurement
 * @param steps of training
 * @param served version of the student that is served; 0 before the first
 */
record SoakSample(
    double seconds,
    double trainerMiB,
    double loopMiB,
    double lag,
    double loss,
    double agreement,
    double steps,
    long served) {}
