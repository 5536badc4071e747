/**
 * Where requests enter the loop: a library that mirrors them, an HTTP endpoint around it, and
 * feeders that replay a file or send generated traffic.
 *
 * <p>In: requests of production, or text to pretend they came. Out: {@code MirroredRequest} records
 * on Kafka, and counts of every one that did not get there, by reason. It knows no models and no
 * tokens, and never slows or fails its caller.
 */
package io.reflux.producers;
