package io.reflux.scorer;

/**
 * Why a record gets no labels.
 *
 * @param reason short and countable
 * @param message one line for people
 */
record Rejection(String reason, String message) {}
