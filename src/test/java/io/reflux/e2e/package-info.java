/**
 * The whole of Reflux from the outside: commands and HTTP come in, and what stands on the topics
 * afterwards is what counts. Nothing here reaches into a room.
 */
package io.reflux.e2e;
