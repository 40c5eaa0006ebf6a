# cmake -DMODE=AUTO -DSCRIPT=build-page.sh -DOUT=page_files.c -DABSENT=FILE -P embed_page.cmake: has the page of `tat view` built, and
# writes a C file that holds its files. If it cannot be built: MODE ON fails; AUTO writes a table without files, and why to ABSENT.
file(REMOVE ${ABSENT})
set(folder "")
if(NOT MODE STREQUAL "OFF")
  execute_process(COMMAND ${SCRIPT} OUTPUT_VARIABLE folder ERROR_VARIABLE why RESULT_VARIABLE status
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
  if(NOT status EQUAL 0)
    if(MODE STREQUAL "ON")
      message(FATAL_ERROR "The page of `tat view` cannot be built:\n${why}")
    endif()
    file(WRITE ${ABSENT} "${why}\n")
    set(folder "")
  endif()
endif()

set(names "")
if(folder)
  file(GLOB_RECURSE names RELATIVE ${folder} ${folder}/*)
endif()
set(bytes "")
set(entries "")
set(number 0)
foreach(name IN LISTS names)
  file(SHA256 ${folder}/${name} hash)
  file(SIZE ${folder}/${name} size)
  # The hash makes this file another one whenever a page's is: compilers' caches do not look behind .incbin.
  string(APPEND bytes "/* ${hash} */\n"
    "__asm__(\".pushsection .rodata\\n.balign 16\\npage_file_${number}:\\n.incbin \\\"${folder}/${name}\\\"\\n.popsection\");\n"
    "extern const unsigned char page_file_${number}[] __attribute__((visibility(\"hidden\")));\n")
  string(APPEND entries "    { \"${name}\", page_file_${number}, ${size} },\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "/* Written by cmake/embed_page.cmake. */\n#include \"serve/page.h\"\n\n${bytes}\n"
  "const struct page_file page_files[] = {\n${entries}    { 0 },\n};\n")
