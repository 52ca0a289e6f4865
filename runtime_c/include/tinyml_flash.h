/* tinyml: constants where data pointers do not reach them.
 *
 * A processor of Harvard architecture reads tables in program memory by other instructions than
 * variables. There TINYML_FLASH, in the type of a constant and of every pointer to it, makes the
 * compiler choose them, and what lacks it is in RAM. Elsewhere it is empty.
 *
 * On AVR it is GCC's named address space __flash (of C, not of C++): the first 64 KB of program
 * memory. They are the board's region for constants, so no model has more of them.
 */
#ifndef TINYML_FLASH_H
#define TINYML_FLASH_H

#if defined(__AVR__)
#include <avr/pgmspace.h>
#define TINYML_FLASH __flash
#define tinyml_flash_copy memcpy_P
#else
#include <string.h>
#define TINYML_FLASH
#define tinyml_flash_copy memcpy
#endif

#endif
