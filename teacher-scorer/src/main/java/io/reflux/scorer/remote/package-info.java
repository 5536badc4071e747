/**
 * A teacher that runs on a vLLM or SGLang server, asked over HTTP. In come token ids; out go
 * log-probs of them and answers as token ids, both checked before anybody sees them: what a server
 * says that cannot be right is a failure, never a number.
 *
 * <p>{@link io.reflux.scorer.remote.RemoteTeacher} is the whole of it. Text goes over the wire only
 * once, when the server's tokenizer is compared with ours. Knows no Kafka, no records and no
 * weights. References are never null unless a comment says so.
 */
package io.reflux.scorer.remote;
