# libtat.a: what include/tat/ declares, for programs that read traces. Two objects, so that who only reads needs no jansson;
# in each only our public names are global, so that none of ours meets one of the program's.
function(tat_library_object name)
  set(objects ${ARGN})
  list(TRANSFORM objects REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
  set(object ${PROJECT_BINARY_DIR}/library/${name}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${object} ${objects}
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=tat_* ${object}
    DEPENDS ${ARGN} ${objects} COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_sources(tat_library PRIVATE ${object})
endfunction()

file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/library)
add_library(tat_library STATIC)
tat_library_object(read tat_format tat_gguf tat_trace)
tat_library_object(ask tat_analysis tat_export tat_policy)
set_target_properties(tat_library PROPERTIES
  OUTPUT_NAME tat LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/library)
target_include_directories(tat_library INTERFACE ${PROJECT_SOURCE_DIR}/include)

configure_file(${PROJECT_SOURCE_DIR}/cmake/tat.pc.in ${PROJECT_BINARY_DIR}/library/tat.pc @ONLY)
install(TARGETS tat_library ARCHIVE DESTINATION lib)
install(FILES ${PROJECT_BINARY_DIR}/library/tat.pc DESTINATION lib/pkgconfig)
