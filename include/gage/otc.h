/* gage/otc.h - what a program needs to know to use the one-time-credential mechanism through the GSS-API: its OID. */
#ifndef GAGE_OTC_H
#define GAGE_OTC_H

/* The mechanism's OID, fixed for ever; the line for mech.d is "gage_otc  OID  PATH/gage_otc.so". */
#define GAGE_OTC_OID_TEXT "1.2.840.113556.1.8000.2554.24440.38443.969.19271.45423.7573767.5064887"

#endif
