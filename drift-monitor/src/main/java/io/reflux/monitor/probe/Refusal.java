package io.reflux.monitor.probe;

/**
 * Why a record cannot be compared.
 *
 * @param reason short and countable
 * @param message one line for people
 */
record Refusal(String reason, String message) {}
