/**
 * Conversations to prompts: chat messages and a model's own Jinja template in, one text out.
 * Templates are untrusted: they see the messages and nothing else of this process. It must not know
 * token ids or models.
 */
package io.reflux.model.chat;
