# `cmake --install build/release --prefix X`: the program, the tables and the recipes. Recipes name the tables relative to
# themselves, so both lie side by side as they do in the tree.

include(GNUInstallDirs)
set(BOREAL_SHARE ${CMAKE_INSTALL_DATADIR}/boreal)
if(TARGET boreal)
  install(TARGETS boreal RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(folder data recipes)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${folder})
    install(DIRECTORY ${folder}/ DESTINATION ${BOREAL_SHARE}/${folder})
  endif()
endforeach()
install(FILES LICENSE CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR})
