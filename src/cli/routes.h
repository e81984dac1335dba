/* routes.h - which program runs a command: each loads the libraries its own commands need and no others. */
#ifndef GAGE_CLI_ROUTES_H
#define GAGE_CLI_ROUTES_H

struct route {
    const char *command, *program; /* PREFIX/lib/gage/PROGRAM */
};

/* In the order of the help, programs in one piece; ends with an empty row. */
extern const struct route routes[];

/* The program of a command; of what is no command, the one that says so. */
const char *route_of(const char *command);

#endif
