/**
 * Configuration: files, environment and flags come in, the typed settings of every room go out. One
 * set of keys serves every command.
 */
package io.reflux.config;
