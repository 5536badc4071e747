package io.reflux.producers;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * What became of a submitted request.
 *
 * @param requestId its name, given or made
 * @param dropped why it was dropped at once; empty when it was taken in
 * @param delivery completes when Kafka has it, or exceptionally with {@link MirrorDropException}
 */
public record Receipt(
    String requestId, Optional<DropReason> dropped, CompletableFuture<RecordMetadata> delivery) {}
