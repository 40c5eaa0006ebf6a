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
tat_library_object(ask tat_analysis tat_export tat_plan tat_policy tat_system)
set_target_properties(tat_library PROPERTIES
  OUTPUT_NAME tat LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/library)
target_include_directories(tat_library INTERFACE ${PROJECT_SOURCE_DIR}/include)

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

# libtat.so: the same as one shared library, for bindings: python/tat loads it. Compiled anew, as the names that it shows
# must not be hidden.
add_library(tat_shared SHARED)
foreach(layer tat_format tat_gguf tat_trace tat_policy tat_plan tat_system tat_analysis tat_export)
  get_target_property(sources ${layer} SOURCES)
  get_target_property(folder ${layer} SOURCE_DIR)
  list(TRANSFORM sources PREPEND ${folder}/)
  target_sources(tat_shared PRIVATE ${sources})
endforeach()
target_link_libraries(tat_shared PRIVATE tat_flags PkgConfig::JANSSON m Threads::Threads)
target_compile_options(tat_shared PRIVATE -fno-semantic-interposition)
target_link_options(tat_shared PRIVATE
  -Wl,-z,defs -Wl,-Bsymbolic -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/tat.map)
set_target_properties(tat_shared PROPERTIES OUTPUT_NAME tat C_VISIBILITY_PRESET default
  SOVERSION ${PROJECT_VERSION_MAJOR} VERSION ${PROJECT_VERSION} LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/tat.map
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/library)

configure_file(${PROJECT_SOURCE_DIR}/cmake/tat.pc.in ${PROJECT_BINARY_DIR}/library/tat.pc @ONLY)
install(TARGETS tat_library ARCHIVE DESTINATION lib)
# Without the link libtat.so: to who compiles against us, -ltat stays libtat.a.
install(TARGETS tat_shared LIBRARY DESTINATION lib NAMELINK_SKIP)
install(FILES ${PROJECT_BINARY_DIR}/library/tat.pc DESTINATION lib/pkgconfig)
