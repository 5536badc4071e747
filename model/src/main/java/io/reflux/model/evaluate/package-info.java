/**
 * How good a model is: prompts with reference answers, or with a teacher, in; shares of what it
 * gets right out. It must not know how models are trained or served.
 */
package io.reflux.model.evaluate;
