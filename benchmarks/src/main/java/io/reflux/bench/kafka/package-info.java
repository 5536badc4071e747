/**
 * What benchmarks of the loop share: a broker and registry of their own, requests as production
 * sends them, a trainer in a process of its own, and a watch on the labels that come back. Measures
 * nothing itself.
 */
package io.reflux.bench.kafka;
