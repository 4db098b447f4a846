from django.urls import path

from shop import views

app_name = "shop"
urlpatterns = [
    path("", views.home, name="home"),
    path("categories/", views.categories, name="categories"),
    path("categories/<slug:slug>/", views.products, name="products"),
    path("products/<int:pk>/", views.product, name="product"),
    path("search/", views.search, name="search"),
    path("dashboard/", views.dashboard, name="dashboard"),
    path("catalogue.csv", views.catalogue, name="catalogue"),
    path("terms/", views.terms, name="terms"),
    path("sales/", views.sales, name="sales"),
    path("cart/", views.cart, name="cart"),
    path("cart/add/<int:pk>/", views.add_to_cart, name="add_to_cart"),
    path("cart/checkout/", views.checkout, name="checkout"),
]
