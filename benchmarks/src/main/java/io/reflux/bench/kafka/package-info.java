/**
 * What benchmarks of the loop share: a broker and registry of their own, requests as production
 * sends them, and a watch on the labels that come back. Measures nothing itself.
 */
package io.reflux.bench.kafka;
