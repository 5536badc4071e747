package io.reflux.bench.swap;

/**
 * One swap.
 *
 * @param number from 1
 * @param seconds from the pointer's move until new requests got the version
 * @param releasedSeconds until the version before was out of memory
 * @param residentMiB of the server after that
 */
record SwapSample(int number, double seconds, double releasedSeconds, double residentMiB) {}
