/**
 * Kafka and a schema registry inside one JVM, so that Reflux runs and is tested with nothing but a
 * JDK.
 *
 * <p>In: a data directory and ports. Out: a single-node KRaft broker and a registry on the loopback
 * interface, and the configuration with which the rest of Reflux reaches them. It knows no service,
 * no model and no topic of Reflux: to everything else this is just another Kafka cluster.
 */
package io.reflux.devstack;
