/**
 * The {@code reflux} command: what comes in is a command line, configuration and the environment;
 * what goes out is a running service, a file or a line on the terminal. It wires rooms together and
 * knows no tensor maths and no record formats of its own.
 */
package io.reflux.cli;
