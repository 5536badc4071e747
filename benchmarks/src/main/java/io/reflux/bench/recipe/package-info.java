/**
 * Whether the recipe's gains show on real text: in come prompts with reference answers, out goes a
 * table of students of one shape, trained in different ways for the same compute, held against
 * their teacher on text that none of them saw. Labels go through the real codec; nothing here knows
 * Kafka.
 */
package io.reflux.bench.recipe;
