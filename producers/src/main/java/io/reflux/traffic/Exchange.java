package io.reflux.traffic;

/**
 * A question and its one right answer.
 *
 * @param prompt what the customer writes, one line
 * @param response what the desk answers, one line; a function of the prompt alone
 * @param intent what the customer wants, such as {@code order_status}
 * @param segment the desk that answers, such as {@code orders}
 */
public record Exchange(String prompt, String response, String intent, String segment) {}
