/**
 * Language models of the Llama family as files, numbers and text. In comes a Hugging Face directory
 * (or a snapshot, which is one too); out go loaded weights, tokens, graphs and texts. Nothing here
 * knows Kafka, topics or services. References are never null unless a comment says so.
 */
package io.reflux.model;
