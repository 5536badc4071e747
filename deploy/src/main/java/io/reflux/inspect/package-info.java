/**
 * Records of the loop as a person would read them. Topics come in, searched within bounds; lines
 * for a terminal or JSON go out. Nothing here writes to Kafka or runs a model.
 */
package io.reflux.inspect;
