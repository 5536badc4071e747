package io.reflux.trainer;

/**
 * Why a label cannot be used.
 *
 * @param reason short and countable
 * @param message one line for people, with the value and what was expected
 */
record Refusal(String reason, String message) {}
